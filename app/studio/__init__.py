"""What the studio's pages share: places, widgets from parameter classes, the frame round a figure, readable errors."""
