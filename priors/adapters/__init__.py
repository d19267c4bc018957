"""Adapters that steer a frozen prior."""
