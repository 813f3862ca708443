"""Failures that a user can mend.

The message of each is one or two lines that name the file, the column or key, what was found, what was
expected and the remedy. Scripts print it without a traceback; anything else that is raised is a defect.
"""

# how a line of a log begins that says what a reader of the results should know
WARNING = "warning: "
# how a warning ends that stands beside a verdict, too
KNOWN_COUNTS = "of the counts are of genes that the model knows"


class LayerscopeError(Exception):
    """Base of every failure that a user can mend."""


class ConfigError(LayerscopeError):
    """The study's configuration asks for something that does not exist or cannot be done."""


class DataError(LayerscopeError):
    """A file of cells, or a table made from them, does not hold what a step needs."""


class NotAvailableError(DataError):
    """Cells lack what a protocol needs: its scores are not available, and the rest of a study goes on."""


class ModelError(LayerscopeError):
    """A model's weights or vocabulary are missing, unsafe or not what the architecture needs."""


class SourceError(LayerscopeError):
    """Bytes could not be had from where the configuration says they are."""
