"""Serving models: a static page that draws in the browser, and an HTTP API."""
