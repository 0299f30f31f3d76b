"""The wiring of the site: settings, URLs, pages that belong to no app, and the ground floor."""
