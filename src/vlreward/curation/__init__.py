"""From many overlapping sets of preferences to one: steps, a ledger of what was dropped, a card."""
