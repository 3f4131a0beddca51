"""Single pulsed devices: parameter classes, crosspoint draws, pulse traces and analysis."""
