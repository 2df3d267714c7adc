"""FrameExplorer: any function of a few choices as a figure."""
