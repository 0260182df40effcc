"""Pictures, videos and plots of what a network makes."""
