"""Everything that turns cells into representations."""
