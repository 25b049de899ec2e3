# A module beside the packages cannot hold a py.typed: this says the same of dama.py to a type checker.
from harness.errors import DataError as DataError
from harness.errors import HarnessError as HarnessError
from harness.errors import UsageError as UsageError
from harness.protocols.progress import Progress as Progress
from workflows.agreement import Agreements as Agreements
from workflows.agreement import agree as agree
from workflows.contamination import Contamination as Contamination
from workflows.contamination import contamination as contamination
from workflows.library import align as align
from workflows.library import bench as bench
from workflows.library import compare as compare
from workflows.library import leaderboard as leaderboard
from workflows.library import score as score
from workflows.objects import Objects as Objects
from workflows.objects import objects as objects
from workflows.opened import Results as Results
from workflows.opened import Verdicts as Verdicts
from workflows.opened import open as open
from workflows.planning import Plan as Plan
from workflows.planning import plan as plan
from workflows.prompts import Prompts as Prompts
from workflows.prompts import prompts as prompts
from workflows.rejudge import Rejudgements as Rejudgements
from workflows.rejudge import rejudge as rejudge
from workflows.results import AlignResult as AlignResult
from workflows.results import BenchResult as BenchResult
from workflows.results import Comparison as Comparison
from workflows.results import Evaluation as Evaluation
from workflows.results import Figure as Figure
from workflows.results import Leaderboard as Leaderboard

__version__: str
