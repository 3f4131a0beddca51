"""Settings that cannot learn, or learn badly: what, why in numbers, and what to set instead."""

from tilewright.advice.advise import advise as advise
from tilewright.advice.conditions import Conditions as Conditions
from tilewright.advice.conditions import LayerProbe as LayerProbe
from tilewright.advice.conditions import probe_layers as probe_layers
from tilewright.advice.finding import Finding as Finding
from tilewright.advice.finding import SettingsWarning as SettingsWarning
from tilewright.advice.finding import Severity as Severity
