"""What a block is: heading, listing, formula, caption, footnote, figure, or furniture of the sheet.

What its characters say, how its type looks and what a layout model takes it for decide together.
"""
