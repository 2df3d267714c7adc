"""Mechanisms put into any network and taken out again; what others trained, loaded into ours."""
