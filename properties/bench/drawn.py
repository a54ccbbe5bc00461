"""What is drawn in a figure, for the tests of the reports."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D


def along(line: Line2D) -> list[float]:
    """Where a line is, from its beginning."""
    return [float(x) for x in np.asarray(line.get_xdata())]


def texts(axes: Axes) -> list[str]:
    """What is written among the axes."""
    return [text.get_text() for text in axes.texts]
