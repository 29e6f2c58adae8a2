"""Models that ``textvae export`` wrote, in use."""
