"""Step 7 of 7, show: live results over WebSockets."""
