"""AttentionExplorer: where a position looks."""
