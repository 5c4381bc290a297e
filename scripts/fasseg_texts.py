"""Text around the tables of the FASSEG pages, which `fasseg_pages.py` fills in."""

FEW_TEXT = """# Few fine maps: both stages of Model 2 on FASSEG

Written by `scripts/fasseg.py` from `docs/results/fasseg.json`; no figure in the tables was
entered by hand.

There are five folds of 14 images, and no person is in two folds. The other 56 images are for
training; only the first few of them have fine maps here, the rest have coarse maps only. These
few show as many people as possible, and differ from fold to fold. Scores are those of the last
checkpoint on the fold's images, in per cent, as mean ± standard deviation over the folds listed;
if fewer than five are listed, the others have not been run.

- *worse* counts images that refining made worse.
- *control* continues from stage 1 with the fine pairs alone, for as many steps as stage 2.
- *with evidence* is an earlier stage 2, which also hid coarse maps from the network and made it
  guess what explains them (`evidence_weight` 0.5); its rows were run at commit b91e37b, after
  which that option was removed.
- *mean teacher* continues from the same stage 1 and learns pseudo-labels of the coarse-only
  images without discriminator and colours.
- *stage 1, longer* takes the steps of stage 1 and of its continuation in one run; its runs are
  older, with the first 20 fine maps of a list, of 14 people, which are nearly the same in folds 1
  to 4.
- Model 1 and the plain U-Net use all 56 fine maps.
- The colours of the classes in each image correct the output of the network (`colour_weight`);
  *network alone* is the pixel accuracy without that.

Two annotators agree in 96.4 % ([As good as a second annotator?](annotators.md)).

{summary}
## Against the goals

{goals}
All goals are in pixel accuracy, refined by network and colours. The tables show what was missed,
and by how much. The plain U-Net has its own settings: it learns more slowly, so it takes twice
the steps, and the colours of its classes are not changed, because it has nothing else to go by
(`recolour_share` 0).

## Stage 2 compared with its control

Means ± their standard errors over the folds.

{control}
![Scores over the number of fine maps](../images/label-efficiency.png)

Means over the folds; bars of one standard deviation. With one fine map, fold 3 stands out:
trained on that map alone, the network makes 11 of 14 images worse than their coarse maps; after
stage 2 it makes 4 worse.

**What few fine maps do not show, and where to get it.** We looked at the maps of folds 0 and 1
and chose the settings on them, with the first fine maps of the lists, which show fewer people
than those of the rows above; nothing was chosen on the scores of the other folds. The effect of
the colours on pseudo-labels was first measured on coarse-only images of these two, some of which
are test images of the others.

- *Colours.* From fine maps of one dark-haired person the network learns that fair hair is skin,
  whatever the coarse map says. Other images' coarse maps can correct that, and an earlier stage 2
  did; but so does changing the colours of each class independently (`recolour_share`), with the
  fine pairs alone. It is on for all rows.
- *Coarse maps.* The coarse maps of few images are wrong in few ways, and the network learns to
  follow them where it should not. Distorting them (`coarse_distortion`) shows it more ways. It is
  on for all rows.
- *Boundaries.* With both, nearly all errors are within 10 px of a boundary, and the stage 2 of
  that time gained nothing over its control: from its own guesses a network learns nothing new.
  The image does know more. The colours well inside a class say on which side of a boundary
  a nearby pixel belongs, even in an image unlike those of all fine pairs. So they correct the
  pseudo-labels of the coarse-only images, from which stage 2 learns where the boundaries are; and
  because the same correction helps any network, it is part of refining. Stage 2 and its control
  are compared with and without this correction.
- *Evidence.* Coarse maps that are hidden from the network, which has to explain them, were meant
  to make it learn the rest. In pixel accuracy they do harm in all folds but one (fold 2, one fine
  map), and in mIoU they bring no gain: see below. They were switched off after runs of folds 1
  and 3; the others were run afterwards.
- *Enough fine maps.* With 20 of them, in a trial that is not among the records, the full stage 2
  (`few_fine_maps` 20) fell behind its control in fold 1, with and without colours. Therefore,
  with more than five fine maps the coarse-only images count less; with 20, a quarter.

[Where the maps are wrong](errors.md) shows the remaining errors, and on how many of them two
annotators would not agree either.

Also tried in stage 2 at that time, without success and not among the records: coarse-only crops
without influence on the statistics of the normalisation, lower weights of all its losses,
evidence without pseudo-labels, and whole images labelled once and used like fine pairs.

## What each part is worth

Stage 2 minus the same without one of its parts, or with evidence, on the same folds: positive
where the default is better. *all but verdict* keeps only the discriminator's score, as in the
report. The rows of stage 2 with evidence were run before evidence was removed.

{ablations}
A single fold is only a hint. A mean teacher, without discriminator and colours, does worse in
both folds that were run. Stage 2 depends on the replay of the fine pairs, and on pseudo-labels
that the colours of the classes correct; pasted boxes helped in one fold of two. Without the
discriminator, or without stronger colours, it was no worse: these two have not earned their
places. Rows and folds that are missing here have not been run.

## How it was made

{how}"""

REPORT_TEXT = """# The report, reproduced

Written by `scripts/fasseg.py` from `docs/results/fasseg.json`; no figure in the tables was
entered by hand. Pixel accuracy and the other scores in per cent.

50 images are for training and 20 for testing; unlike in the report's split, no person is on both
sides. Stage 1 uses 20 fine maps, stage 2 the other 30 images with their coarse maps alone. The
report tested on the corner crops; here whole images are refined.

{table}
![Losses of the four models over their steps](../images/losses-report.png)

The report's figures 12 to 15, with its settings, of an earlier run. The loss of stage 2 falls as
it should.

![What the four models make of the sample's coarse map](../images/samples-report.png)

Its figures 16 to 20, on a photograph that may be published, from a coarse map unlike any of the
training: the result of each model. (`python scripts/fasseg_figures.py`.)

## The same with our settings

![Losses of the four models with our settings](../images/losses.png)

![What the four models with our settings make of the sample's coarse map](../images/samples.png)

## Why stage 2 collapses

With the report's settings, stage 2 is driven by the discriminator's score alone, and the
discriminator is not trained further. In our run (figures from its log and its maps on the test
images):

- The discriminator that stage 1 leaves behind is right on all training pairs and on half of the
  held-out ones. It sees one-hot fine maps next to soft refined ones, and whole images only, so it
  does not have to learn what a right map looks like.
- The generator outwits it: the adversarial loss falls from 0.18 to 0.0007 within 500 steps.
  Meanwhile pixel accuracy falls to the value in the table. Eyes, nose and mouth, a twentieth of
  the pixels, are gone from every map, and much of the hair has become skin. Nothing in the loss
  says that a map has to fit its image.
- Our run did not fall as deep as in the report (2.3 %, less than any single class would give).
  More steps may do that, or an additional defect there. Our run has none: [A defect, or the
  game?](collapse.md) tries other statistics of the normalisation and other names of the classes.

With our settings the discriminator's score has a thousandth of the weight, and the fine pairs
stay in every step: see [Few fine maps](fasseg.md).

{how}"""
