"""What looks at a network, ours or anybody's: its maps, its shapes, its costs."""
