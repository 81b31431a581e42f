"""What is known, for people: as the status page, the JSON API and the terminal show it."""
