"""One HTML page, SVG, PNG and raw figures for every study; measures nothing."""
