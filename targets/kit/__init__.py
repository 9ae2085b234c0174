"""What several targets share; below the plugins."""
