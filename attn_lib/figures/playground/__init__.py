"""Playground: a trained network that runs in the page."""
