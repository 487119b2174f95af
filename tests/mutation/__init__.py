"""`make mutants`: would a test fail if a line of evaluate, track or decide were wrong?"""
