"""The words of the sample world: fields of research, each with phrases that fit together in a title or an abstract.

Problems and methods are noun phrases in lower case, so that every problem can meet every method. Numbers in findings
are named by their range: ``low`` and ``high`` are percentages, ``gain`` a smaller one, ``factor`` a ratio.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A field of research; ``categories`` are arXiv's names for it, the first one primary."""

    label: str
    categories: tuple[str, ...]
    names: tuple[str, ...]
    problems: tuple[str, ...]
    methods: tuple[str, ...]
    contexts: tuple[str, ...]
    settings: tuple[str, ...]
    findings: tuple[str, ...]
    limits: tuple[str, ...]


AGENTS = Field(
    label="agent memory",
    categories=("cs.AI", "cs.CL"),
    names=("Engram", "Palimpsest", "Lethe"),
    problems=(
        "long-horizon memory in tool-using agents",
        "forgetting in lifelong language agents",
        "shared memory among cooperating agents",
        "memory poisoning in assistant agents",
        "recall of user preferences across sessions",
        "episodic recall in web agents",
        "memory budgets of on-device agents",
        "credit assignment over remembered episodes",
    ),
    methods=(
        "hierarchical episodic indexing",
        "learned write policies",
        "consolidation during idle time",
        "graph-structured memory stores",
        "retrieval gated by surprise",
        "verifiable memory logs",
        "compressed latent scratchpads",
        "contrastive recall training",
    ),
    contexts=(
        "Agents that act over days must remember what they did and why.",
        "A longer context window delays forgetting but does not organise what an agent keeps.",
        "Most agent memories are append-only, so stale facts crowd out the useful ones.",
        "What an agent writes into its memory today decides what it can recall tomorrow.",
    ),
    settings=(
        "a suite of 120 multi-session errands for language agents",
        "simulated office work in which an agent lives for thirty days",
        "a household assistant benchmark with drifting preferences",
        "replayed logs of software maintenance agents",
    ),
    findings=(
        "Task success after fifty sessions rises from {low} to {high} percent.",
        "The memory store shrinks by a factor of {factor} with no measurable loss in recall.",
        "Recall at ten improves by {gain} points while the agent reads a third fewer tokens.",
        "Contradictory memories are detected in {high} percent of the episodes.",
    ),
    limits=(
        "The benefit fades when consecutive tasks share no entities.",
        "Gains are smallest for short tasks, where the context window suffices.",
        "Write policies transfer poorly between agents with different tools.",
    ),
)

PHOTONICS = Field(
    label="photonic computing",
    categories=("physics.optics", "cs.ET"),
    names=("Prismatic", "Halcyon", "Lumen Mesh"),
    problems=(
        "matrix multiplication in silicon photonics",
        "optical inference at the edge",
        "phase drift in interferometer meshes",
        "energy cost of optical readout",
        "wavelength-parallel linear layers",
        "on-chip optical nonlinearity",
        "training of optical networks in place",
        "packaging of photonic accelerators",
    ),
    methods=(
        "microring weight banks",
        "coherent crossbar arrays",
        "in situ backpropagation",
        "thin-film lithium niobate modulators",
        "phase-change attenuators",
        "error-tolerant mesh calibration",
        "time-multiplexed optical accumulators",
        "inverse-designed couplers",
    ),
    contexts=(
        "Light multiplies for free, but every conversion between optics and electronics costs energy.",
        "Photonic accelerators promise bandwidth that electronic interconnects cannot reach.",
        "Thermal drift of waveguides limits the precision of optical matrix products.",
        "Integrated photonics has matured enough to carry whole layers of a network on one chip.",
    ),
    settings=(
        "a 64 by 64 interferometer mesh in a commercial silicon photonics process",
        "a packaged photonic chip with sixteen wavelengths",
        "measurements on forty photonic dies from one wafer",
        "an optical test bench at 25 gigabaud",
    ),
    findings=(
        "Energy per optical multiply-accumulate falls by a factor of {factor}.",
        "The mesh holds {gain} bits of precision over a week without recalibration.",
        "Insertion loss drops by {low} percent at equal bandwidth.",
        "Classification accuracy on the optical chip reaches {high} percent of the electronic reference.",
    ),
    limits=(
        "Optical loss still grows with the depth of the mesh.",
        "The laser dominates the energy budget at low utilisation.",
        "Heaters of neighbouring waveguides remain coupled.",
    ),
)

NEUROMORPHIC = Field(
    label="neuromorphic chips",
    categories=("cs.NE", "cs.ET"),
    names=("Axonet", "Tremolo", "Spikelet"),
    problems=(
        "event-driven keyword spotting",
        "continual learning on spiking hardware",
        "device variability in memristive crossbars",
        "sparse communication between neuromorphic cores",
        "temporal credit assignment in spiking networks",
        "always-on gesture recognition",
        "locomotion control with spiking circuits",
        "fault tolerance of analogue neurons",
    ),
    methods=(
        "three-factor local plasticity",
        "delay-coded spikes",
        "ferroelectric synapses",
        "asynchronous routing fabrics",
        "surrogate-gradient training",
        "dendritic compartments",
        "homeostatic thresholds",
        "stochastic synaptic sampling",
    ),
    contexts=(
        "Spiking circuits consume energy only when something happens.",
        "Neuromorphic chips place memory and computation in the same synapse.",
        "Analogue neurons differ from one another, and learning has to live with it.",
        "Event cameras and spiking processors share one sparse language.",
    ),
    settings=(
        "a four-core neuromorphic prototype with 65,000 spiking neurons",
        "an event camera dataset recorded in moving vehicles",
        "memristive crossbars from three fabrication runs",
        "a legged robot driven by a spiking controller",
    ),
    findings=(
        "The spiking network stays below {gain} milliwatts while listening.",
        "Spike traffic between cores falls by a factor of {factor}.",
        "Accuracy after a hundred spiking tasks rises from {low} to {high} percent.",
        "Synapses with {low} percent stuck devices lose almost no accuracy.",
    ),
    limits=(
        "Retention of the synapses beyond a month has not been measured.",
        "Dense inputs erase the advantage of spiking.",
        "The neurons must be calibrated once after power-up.",
    ),
)

DECODERS = Field(
    label="quantum decoders",
    categories=("quant-ph", "cs.AR"),
    names=("Swiftmatch", "Heron", "Undertow"),
    problems=(
        "real-time decoding of surface codes",
        "backlog in streaming syndrome decoding",
        "leakage-aware decoding",
        "correlated noise in logical memory experiments",
        "decoding of lattice surgery",
        "soft readout information in decoders",
        "latency budgets of cryogenic control",
        "calibration of decoder priors",
    ),
    methods=(
        "parallel window matching",
        "neural belief updates",
        "union-find on programmable logic",
        "sparse matching heuristics",
        "recurrent syndrome transformers",
        "tensor-network contraction",
        "speculative decoding windows",
        "adaptive edge reweighting",
    ),
    contexts=(
        "A logical qubit is only as fast as the decoder that watches over it.",
        "Syndromes arrive every microsecond, and a decoder that lags lets errors pile up.",
        "Decoders are judged by accuracy, although latency decides whether they can be used.",
        "Control electronics close to the qubits leave little room for a heavy decoder.",
    ),
    settings=(
        "recorded syndromes of a distance-seven patch",
        "circuit-level noise simulations up to distance 21",
        "a decoder test bench with a one-microsecond syndrome cycle",
        "streaming memory experiments of a million syndrome rounds",
    ),
    findings=(
        "Decoding latency falls by {low} percent at equal accuracy.",
        "The decoder sustains a backlog-free stream {factor} times longer.",
        "Decoding stays within {gain} percent of the optimal accuracy.",
        "Syndrome windows shrink by a factor of {factor} without harm.",
    ),
    limits=(
        "Leakage that persists over many syndrome rounds remains hard to see.",
        "The decoder has to be retuned when the device drifts.",
        "Memory traffic, not arithmetic, bounds the decoder.",
    ),
)

CODES = Field(
    label="quantum codes",
    categories=("quant-ph", "cs.IT"),
    names=("Lattice Kin", "Tessera", "Catena"),
    problems=(
        "fault-tolerant storage with fewer physical qubits",
        "logical gates on low-density parity-check codes",
        "biased noise in bosonic qubits",
        "magic state preparation",
        "connectivity of two-layer qubit layouts",
        "thresholds of hyperbolic codes",
        "phase errors in cat-qubit arrays",
        "overhead of logical teleportation",
    ),
    methods=(
        "bivariate code constructions",
        "concatenated cat qubits",
        "code-switching protocols",
        "flag-qubit gadgets",
        "tailored stabiliser layouts",
        "generalised code surgery",
        "transversal gate search",
        "bias-preserving gates",
    ),
    contexts=(
        "The overhead of error correction decides how large a useful quantum computer must be.",
        "Quantum low-density parity-check codes store more logical qubits in the same hardware.",
        "Bosonic qubits push one kind of error down so far that simpler codes suffice.",
        "A code is of little use without logical gates that respect its structure.",
    ),
    settings=(
        "stabiliser simulations of codes with up to 400 physical qubits",
        "a two-layer layout with long-range couplers",
        "an array of five cat qubits",
        "an exhaustive search over small stabiliser codes",
    ),
    findings=(
        "The qubit overhead per logical qubit falls by a factor of {factor}.",
        "The threshold of the code rises by {gain} percent under biased noise.",
        "Logical gates need {low} percent fewer ancilla qubits.",
        "The encoding rate improves by {gain} percent at the same code distance.",
    ),
    limits=(
        "The stabilisers of high weight remain demanding for present couplers.",
        "The construction gives no code below sixty qubits.",
        "Cat qubits with short lifetimes lose the advantage.",
    ),
)

BATTERIES = Field(
    label="solid-state batteries",
    categories=("cond-mat.mtrl-sci", "physics.chem-ph"),
    names=("Strata", "Ferrovia", "Anodyne"),
    problems=(
        "dendrite growth in lithium metal cells",
        "interfacial resistance of sulfide electrolytes",
        "fast charging of solid-state cells",
        "moisture stability of argyrodites",
        "stack pressure in anode-free cells",
        "ion transport across grain boundaries",
        "low-temperature cycling of garnet cells",
        "recycling of solid electrolytes",
    ),
    methods=(
        "gradient interlayers",
        "halide-coated cathodes",
        "operando neutron imaging",
        "machine-learned interatomic potentials",
        "dry-process composite cathodes",
        "elastic polymer scaffolds",
        "pulsed formation protocols",
        "amorphous oxide coatings",
    ),
    contexts=(
        "Solid electrolytes promise safer cells, but their interfaces age in ways liquids do not.",
        "Lithium finds every crack in a solid electrolyte.",
        "Stack pressure helps a solid cell to cycle and keeps it out of vehicles.",
        "Sulfide electrolytes conduct well and dislike almost everything they touch.",
    ),
    settings=(
        "pouch cells of two ampere-hours",
        "symmetric lithium cells at room temperature",
        "garnet pellets from four suppliers",
        "anode-free solid-state cells cycled at minus ten degrees",
    ),
    findings=(
        "Capacity retention after 500 cycles rises from {low} to {high} percent.",
        "The critical current density grows by a factor of {factor}.",
        "Interfacial resistance falls by {low} percent.",
        "The cells charge to {high} percent in {gain} minutes.",
    ),
    limits=(
        "The electrolyte still has to be handled in a dry room.",
        "Cells above five ampere-hours have not been tested.",
        "Pressure below one megapascal remains out of reach.",
    ),
)

PROTEINS = Field(
    label="protein design",
    categories=("q-bio.BM", "cs.LG"),
    names=("Foldsmith", "Motif Garden", "Kinesis"),
    problems=(
        "binder design against flexible targets",
        "enzyme activity beyond natural scaffolds",
        "stability of designed repeat proteins",
        "epitope-focused vaccine scaffolds",
        "design of allosteric switches",
        "solubilisation of membrane proteins",
        "cell-free expression screening",
        "immunogenicity of designed therapeutics",
    ),
    methods=(
        "backbone diffusion models",
        "sequence design around fixed motifs",
        "active learning from binding assays",
        "structure-conditioned language models",
        "deep mutational scanning",
        "flow matching on torsion angles",
        "physics-guided rescoring",
        "one-pot library assembly",
    ),
    contexts=(
        "Designed proteins fold as intended far more often than they function as intended.",
        "Generative models propose more proteins than any laboratory can express.",
        "Flexible targets defeat binders that were designed against a single structure.",
        "An enzyme is a motion as much as a fold.",
    ),
    settings=(
        "twelve therapeutic protein targets with measured affinities",
        "a cell-free screen of 9,000 designed proteins",
        "crystal structures of eleven designs",
        "yeast display with two rounds of sorting",
    ),
    findings=(
        "The share of designs that bind rises from {low} to {high} percent.",
        "Affinity of the best binder improves by a factor of {factor}.",
        "Designed enzymes keep {high} percent of their activity after a day at sixty degrees.",
        "The screen needs {factor} times fewer designs for the same number of hits.",
    ),
    limits=(
        "Designs longer than 300 residues express poorly.",
        "Assay noise limits what the model can learn from weak binders.",
        "None of the proteins has been tested in animals.",
    ),
)

COMPILERS = Field(
    label="verified compilers",
    categories=("cs.PL", "cs.LO"),
    names=("Keystone", "Lemma Forge", "Plumbline"),
    problems=(
        "translation validation of vector code",
        "verified register allocation",
        "weak memory in optimising compilers",
        "proof maintenance in growing compilers",
        "foreign function interfaces of verified languages",
        "constant-time code generation",
        "floating-point optimisation",
        "separate compilation with proofs",
    ),
    methods=(
        "proof-producing rewriting",
        "relational separation logic",
        "equality saturation with certificates",
        "coinductive trace semantics",
        "mechanised simulation arguments",
        "solver-backed refinement checks",
        "proof repair by tactic synthesis",
        "type-directed lowering",
    ),
    contexts=(
        "A compiler bug turns a correct program into a wrong one without a trace in the source.",
        "Verified compilers trade optimisation for proof, and users notice.",
        "Every new compiler pass asks for a new simulation proof.",
        "Semantics that are convenient for proofs are rarely those of the machine.",
    ),
    settings=(
        "the 240 programs of an embedded compiler suite",
        "a compiler back end with nineteen verified passes",
        "cryptographic kernels for two processor families",
        "ten years of commits to a mechanised compiler proof",
    ),
    findings=(
        "Compiled code runs within {gain} percent of an unverified compiler.",
        "Proof effort per compiler pass shrinks by a factor of {factor}.",
        "The checker validates {high} percent of the optimised functions automatically.",
        "Proof scripts break {factor} times less often when the semantics change.",
    ),
    limits=(
        "The linker remains in the trusted base.",
        "Self-modifying code is outside the semantics.",
        "Solver time grows quickly with the size of a loop nest.",
    ),
)

#: Sentences that say what a paper does; they fit any field.
CLAIMS = (
    "We bring {method} to {problem}.",
    "This paper applies {method} to {problem}.",
    "Here we ask what {method} can do for {problem}.",
)
NAMED_CLAIM = "We introduce {name}, an approach to {problem} based on {method}."
TRIALS = (
    "We test the approach on {setting}.",
    "The evidence comes from {setting}.",
    "Experiments use {setting}.",
)
TITLES = (
    "{method} for {problem}",
    "revisiting {problem} through {method}",
    "{method}: a fresh look at {problem}",
    "a controlled study of {method} for {problem}",
    "{problem}: the case for {method}",
    "what {method} can do for {problem}",
    "{problem} by means of {method}",
)
NAMED_TITLE = "{name}: {method} for {problem}"
PAPER_COMMENTS = (
    "12 pages, 5 figures",
    "9 pages, 4 figures, 2 tables",
    "Accepted at a workshop; 14 pages",
    "Extended version with proofs and 7 figures",
    "",
)
POST_TRIAL = "This time we look at {problem}. We tried {method} on {setting}."

#: The ways people write what they link to. The full stop that follows in the text is not part of the link.
LINK_FORMS = {
    "arxiv": (
        "arXiv:{value}",
        "arXiv:{value}v1",
        "https://arxiv.org/abs/{value}",
        "https://arxiv.org/pdf/{value}v1",
    ),
    "doi": ("https://doi.org/{value}", "doi:{value}"),
    "github": ("https://github.com/{value}", "https://github.com/{value}.git"),
}
PAPER_LINKS = {
    "arxiv": (
        "The starting point is {link}.",
        "It extends {link}.",
        "Compare {link}, which reached the opposite view.",
    ),
    "doi": ("The measurements follow {link}.", "Part of the data comes from {link}."),
    "github": ("Code and data are at {link}.", "We release everything at {link}."),
}
POST_LINKS = {
    "arxiv": ("The details are in {link}.", "Worth reading: {link}.", "See also {link}."),
    "doi": ("The journal version is {link}.",),
    "github": ("The code lives at {link}.",),
}
#: Old works that everybody cites, by the archive they would be in; the numbers were never given out.
CLASSICS = {
    "cs": "cs/0512994",
    "cond-mat": "cond-mat/0311998",
    "physics": "physics/0409991",
    "q-bio": "q-bio/0611997",
    "quant-ph": "quant-ph/0209987",
}
