"""Reading a source: its facts, packets and boxes, and whether it can be read in pieces."""
