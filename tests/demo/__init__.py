"""`make demo`: the incident, played on a real stack and told as a timeline."""
