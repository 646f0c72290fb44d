"""Cleaners: each makes, of one family of formats, a copy without what must not leave."""
