"""From options and YAML files to one complete configuration."""
