"""Orders and accounts over FIX 4.4: typed `messages`. The session they travel on is shared with the feed: markets.feeds.fix."""
