"""CostExplorer: what mechanisms cost."""
