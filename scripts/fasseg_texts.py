"""What the pages of the FASSEG runs say around their tables, which `fasseg_pages.py` fills in."""

FEW_TEXT = """# Few fine maps: both stages of Model 2 on FASSEG

Written by `scripts/fasseg.py` from `docs/results/fasseg.json`; no figure in the
tables was entered by hand.

Five folds of 14 images, no person in two of them; 56 images train, of which only the
first few show their fine maps and the rest have coarse maps only. Those few are of as
many persons, and others in each fold. Scores are of the
last checkpoint on the fold's images, in per cent, as mean ± standard deviation over the
folds named; where fewer than five are named, the others have not been run. *worse*
counts images that refining made worse. *control* goes on from stage 1 with the fine
pairs alone, for as many steps as stage 2 takes. *with evidence* is an earlier stage 2, which also
hid coarse maps from the network and let it guess what explains them (`evidence_weight` 0.5); its
rows were run at commit b91e37b, after which that option was removed.
*mean teacher* goes on from the same stage 1
and learns pseudo-labels of the coarse-only images without discriminator and colours. *stage 1,
longer* takes the steps of stage 1 and of what goes on from it in one run; its runs are older, with
the first 20 fine maps of a list, of 14 persons, which are nearly the same in folds 1 to 4. Model 1
and the plain U-Net see all 56 fine maps. The colours of the classes in each image correct what the
network makes of it (`colour_weight`); *network alone* is the pixel accuracy without that.
Two annotators agree in 96.4 % ([As good as a second annotator?](annotators.md)).

{summary}
## Against the goals

{goals}
All goals are in pixel accuracy, refined by network and colours. What is missed, and by how
much, stands in the tables. The plain U-Net has settings of its own: it learns more slowly, so it
takes twice the steps, and its classes keep their colours, which are all that it has to go by
(`recolour_share` 0).

## Stage 2 beside its control

Means ± their standard errors over the folds.

{control}
![Scores over the number of fine maps](../images/label-efficiency.png)

Means over the folds; bars of one standard deviation. With one fine map fold 3 stands out: trained
on that map alone, the network makes 11 of 14 images worse than their coarse maps, after stage 2 it
is 4.

**What few fine maps lack, and where it comes from.** We looked at the maps of folds 0 and 1,
and on them chose the settings, with the first fine maps of the lists, which are of fewer persons
than those of the rows above; nothing was chosen on the scores of the other folds. What the
colours do for pseudo-labels was first measured on coarse-only images of these two, some of which
test the others.

- *Colours.* Fine maps of one dark-haired person teach that fair hair is skin, whatever the
  coarse map says. Other images' coarse maps can mend that, and an earlier stage 2 did; but so
  does changing the colours of each class by itself (`recolour_share`), from the fine pairs
  alone. It is on for all rows.
- *Coarse maps.* Those of few images are wrong in few ways, and the network learns to follow
  them where it should not. Distorting them (`coarse_distortion`) shows more ways. It is on
  for all rows.
- *Boundaries.* With both, nearly all that is wrong lies within 10 px of a boundary, and the
  stage 2 of that time gained nothing over its control: a network's guesses do not teach it more
  than it knows. What knows more is the image. The colours well inside of a class say on
  which side of a boundary a pixel near it belongs, in an image whose like is in no fine pair.
  So they correct the pseudo-labels of the coarse-only images, from which stage 2 learns where
  boundaries run; and as the same correction helps any network, it is part of refining.
  Stage 2 and its control are compared with and without the latter.
- *Evidence.* Coarse maps that the network does not see, but has to explain, were meant to teach it
  what is left to know. In pixels they harm in all folds but one (fold 2, one fine map), and in mIoU
  they are no gain: see below. So they are off. That was decided on runs of folds 1 and 3; the
  others were run afterwards.
- *Enough fine maps.* With 20 of them, in a trial that is not among the records, stage 2 in full
  (`few_fine_maps` 20) fell behind its control in fold 1, with and without colours. So with more
  than five fine maps the coarse-only images count less, with 20 a quarter.

What is still wrong then, and how much of it two annotators would not agree on either:
[Where the maps are wrong](errors.md).

Tried without success in stage 2 then, and not among the records: coarse-only crops without
influence on the statistics of the normalisation, lower weights of all its losses, evidence
without pseudo-labels, and whole images labelled once and trained on like fine pairs.

## What each part is worth

Stage 2 less the same without one of its parts, or with evidence, on the same folds: positive
where the default is better. *all but verdict* keeps nothing but the discriminator's verdict, as in
the report. Parts of the stage 2 with evidence were taken away before evidence was.

{ablations}
Where there is one fold it is a hint at most. A mean teacher, without discriminator and colours,
does worse in both folds that were run. Stage 2 lives on the replay of the fine pairs, and
on pseudo-labels that the colours of the classes correct; pasted boxes helped in one fold of two.
Without the discriminator, or without stronger colours, it was no worse: they have not earned
their places. Rows and folds that are missing here have not been run.

## How it was made

{how}"""

REPORT_TEXT = """# The report, reproduced

Written by `scripts/fasseg.py` from `docs/results/fasseg.json`; no figure in the tables was
entered by hand. Pixel accuracy and the other scores in per cent.

50 images train and 20 test; unlike the report's split, no person is on both sides. Stage
1 sees 20 fine maps, stage 2 the other 30 images with their coarse maps alone. The report
tested the corner crops; here whole images are refined.

{table}
![Losses of the four models over their steps](../images/losses-report.png)

The report's figures 12 to 15, with its settings, of an earlier run. The loss of stage 2 falls as
it should.

![What the four models make of the sample's coarse map](../images/samples-report.png)

Its figures 16 to 20, on a photograph that may be shown: from a coarse map, unlike any it has
trained on, to what each model makes of it. (`python scripts/fasseg_figures.py`.)

## The same with our settings

![Losses of the four models with our settings](../images/losses.png)

![What the four models with our settings make of the sample's coarse map](../images/samples.png)

## Why stage 2 collapses

With the report's settings stage 2 descends on the discriminator's verdict alone, and the
discriminator stands still. In our run (figures from its log and its maps on the test images):

- The discriminator that stage 1 leaves behind is right in all training pairs and in half of
  the held-out ones. It sees one-hot fine maps beside soft refined ones and whole images only, so
  it need not learn what a right map looks like.
- The generator outwits it: the adversarial loss falls from 0.18 to 0.0007 within 500 steps.
  Meanwhile pixel accuracy falls to what the table says. Eyes, nose and mouth, a twentieth of the
  pixels, are gone from every map, and much of the hair has become skin. Nothing in the
  loss says that a map has to fit its image.
- As deep as in the report, 2.3 %, less than any single class would give, our run did not fall. More
  steps may do that, or a further defect there. In our run there is none:
  [A defect, or the game?](collapse.md) tries other statistics of the normalisation and other names
  of the classes.

With our settings the verdict has a thousandth of the weight and the fine pairs stay in every
step: see [Few fine maps](fasseg.md).

{how}"""
