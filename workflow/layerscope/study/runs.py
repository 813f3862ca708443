"""A study: what follows from its configuration for its models, its conditions, and what is run on what."""

from __future__ import annotations

from layerscope import layout
from layerscope.cells.entries import Dataset
from layerscope.models.catalogue import COUNTS, FAMILIES, THINNED
from layerscope.models.entries import Baseline, Control, FoundationModel, PlantedModel, StoredModel
from layerscope.study.configuration import Configuration

KINDS: dict[type, str] = {
    FoundationModel: "network",
    Baseline: "baseline",
    StoredModel: "stored",
    PlantedModel: "planted",
}


class Study(Configuration):
    """A checked configuration that says what is run on what."""

    # --- models ---------------------------------------------------------------------------------------------

    def trained_model(self, model: str) -> str:
        """The model whose weights (and tokens, and layers) a model uses: itself, but for a control."""
        entry = self.models[model]
        return entry.of if isinstance(entry, Control) else model

    def trained(self, model: str) -> FoundationModel | Baseline | StoredModel | PlantedModel:
        """The entry of that model."""
        entry = self.models[self.trained_model(model)]
        assert not isinstance(entry, Control)
        return entry

    def foundation(self, model: str) -> FoundationModel:
        """The entry of a foundation model, or of the one that a control is of."""
        entry = self.trained(model)
        assert isinstance(entry, FoundationModel)
        return entry

    def family(self, model: str) -> str:
        """The architecture of a model."""
        return self.trained(model).family

    def kind(self, model: str) -> str:
        """What makes a model's layers: ``network``, ``baseline``, ``stored`` (the user's) or ``planted``."""
        entry = self.models[model]
        trained = self.models.get(entry.of) if isinstance(entry, Control) else entry
        is_run = isinstance(trained, FoundationModel)
        return "network" if is_run else KINDS.get(type(entry), "a control of nothing")

    def models_of_kind(self, kind: str) -> list[str]:
        """All models of the catalogue that are of this kind."""
        return [name for name in self.models if self.kind(name) == kind]

    def pretrained_models(self, *families: str) -> list[str]:
        """Models that the workflow pretrains itself, of these families if any is named."""
        return [
            name
            for name, entry in self.models.items()
            if isinstance(entry, FoundationModel) and entry.weights.pretrain
            if not families or entry.family in families
        ]

    def fetched_models(self) -> list[str]:
        """Models whose weights are fetched."""
        entries = self.models.items()
        return [name for name, entry in entries if isinstance(entry, FoundationModel) and entry.weights.fetch]

    def pretraining_condition(self, model: str) -> str:
        """The condition on whose cells a small model is pretrained."""
        pretrain = self.foundation(model).weights.pretrain
        assert pretrain is not None
        return pretrain.cells

    def layers(self, model: str) -> list[str]:
        """Names of a model's layers in order; a baseline has ``official`` only."""
        entry = self.trained(model)
        if isinstance(entry, StoredModel):
            return list(self.stored_layers(model, self.cells_of(self.study.conditions_of(model)[0])))
        return layout.layer_names(0) if isinstance(entry, Baseline) else entry.layer_names

    def n_layers(self, model: str) -> int:
        """The number of a model's last layer; 0 for a baseline, and for a single embedding of the user's."""
        entry = self.trained(model)
        if isinstance(entry, FoundationModel | PlantedModel):
            return entry.layers
        return max((int(layer) for layer in self.layers(model) if layer.isdecimal()), default=0)

    def is_repetition(self, condition: str, model: str) -> bool:
        """Whether a model is a control of which another, of a lower seed, is run on the condition too."""
        entry = self.models[model]
        controls = [self.models[name] for name in self.study.models_on(condition)]
        return isinstance(entry, Control) and any(
            isinstance(control, Control)
            and (control.control, control.of) == (entry.control, entry.of)
            and control.seed < entry.seed
            for control in controls
        )

    # --- conditions -----------------------------------------------------------------------------------------

    def task(self, condition: str) -> str:
        """The task of a condition."""
        return str(self.conditions[condition].task)

    def tasks(self) -> list[str]:
        """The tasks of the study."""
        return sorted({self.task(condition) for condition in self.study.conditions})

    def protocols(self, task: str) -> tuple[str, ...]:
        """The protocols that a task is scored with."""
        protocols: tuple[str, ...] = getattr(self.study.protocols, task)
        return protocols

    def cells_of(self, condition: str) -> str:
        """The condition whose cells, and whose models' layers, a condition is scored on: itself mostly."""
        return self.conditions[condition].cells_of or condition

    def dataset_name(self, condition: str) -> str:
        """The dataset behind a condition."""
        return self.conditions[self.cells_of(condition)].dataset or ""

    def dataset(self, condition: str) -> Dataset:
        """The dataset's entry behind a condition."""
        return self.datasets[self.dataset_name(condition)]

    def is_simulated(self, condition: str) -> bool:
        """Whether the cells of a condition are simulated."""
        return self.dataset(condition).source.simulate is not None

    def datasets_from(self, *places: str) -> list[str]:
        """Datasets whose cells come from one of these kinds of source."""
        sources = {name: entry.source for name, entry in self.datasets.items()}
        return [
            name for name in sources if any(getattr(sources[name], place) is not None for place in places)
        ]

    # --- what is run on what --------------------------------------------------------------------------------

    def runs(self) -> list[tuple[str, str]]:
        """Every pair of condition and model that is run, in the order of the study."""
        excluded = {(row["condition"], row["model"]) for row in self.unavailable()}
        return [
            (condition, model)
            for condition in self.study.conditions
            for model in self.study.models_on(condition)
            if (condition, model) not in excluded
        ]

    def unavailable(self) -> list[dict[str, str]]:
        """Pairs of condition and model that cannot be run, each with the reason."""
        return [
            {"condition": condition, "model": model, "task": self.task(condition), "reason": reason}
            for condition in self.study.conditions
            for model in self.study.models_on(condition)
            if (reason := self.lacking(condition, model))
        ]

    def lacking(self, condition: str, model: str) -> str:
        """Why a model cannot take a condition's cells, or cannot run here; empty where it can.

        A model that needs counts cannot take cells of which only normalised values exist, and no molecules
        can be drawn from them; some baselines run packages that are no requirement.
        """
        entry, kind = self.models[model], self.kind(model)
        if kind == "stored":
            return ""
        if kind == "planted":
            unknown = "planted layers need the truth, which simulated cells alone have"
            return "" if self.is_simulated(condition) else unknown
        needing, family = self.family(model), FAMILIES[self.family(model)]
        taken = family.values
        if isinstance(entry, Control) and entry.control == THINNED:
            needing, taken = THINNED, COUNTS
        values = "counts" if self.dataset(condition).values == "counts" else "log_normalised"
        if values not in taken:
            return f"{needing} needs counts; the dataset holds {values} values only"
        return family.lacking

    def keeps_sums(self, condition: str, model: str) -> bool:
        """Whether of a model's layers only sums over groups of cells are kept for a condition."""
        of_screen = self.extraction.keep == "sums" and self.task(condition) == "perturbation"
        return of_screen and self.kind(model) == "network"

    def embeddings_file(self, condition: str, model: str) -> str:
        """A model's layers of the cells that a condition is scored on."""
        return layout.embeddings(self.cells_of(condition), model)

    def score_files(self, suffix: str) -> list[str]:
        """One file per condition, protocol, model and layer of the study."""
        return [
            layout.score(self.task(condition), condition, protocol, model, layer, suffix)
            for condition, model in self.runs()
            for protocol in self.protocols(self.task(condition))
            for layer in self.layers(model)
        ]
