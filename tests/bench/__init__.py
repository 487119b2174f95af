"""`make bench`: what the product costs, measured in one run and printed; nothing here passes or fails."""
