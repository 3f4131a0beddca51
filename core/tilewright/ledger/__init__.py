"""What training costs: pulses, reads, writes, digital operations and memory of every array, in time and energy."""

from tilewright.ledger.book import Ledger as Ledger
from tilewright.ledger.book import LedgerError as LedgerError
from tilewright.ledger.book import UpdateTime as UpdateTime
from tilewright.ledger.book import count_pulses as count_pulses
from tilewright.ledger.book import ledger as ledger
from tilewright.ledger.constants import CostConstants as CostConstants
from tilewright.ledger.counts import ArrayCount as ArrayCount
from tilewright.ledger.counts import TileCount as TileCount
