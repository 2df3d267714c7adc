"""ChannelExplorer: what each channel's gate is."""
