"""Pictures rebuilt from what they need to be shown, and the walks that check what was rebuilt."""
