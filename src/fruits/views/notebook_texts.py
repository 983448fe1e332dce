"""What the cloud notebook says, in every language it speaks: what goes into a step, what comes out, and why."""

EN = {
    "title": """\
# Photos of fruit to PCA features, on AWS EMR
The chain of the project **fruits** in one notebook: photos in S3 go in, tables in S3 come out.

| step | goes in | comes out |
|---|---|---|
| bronze | photos | `bronze_images`: a row per file |
| silver | `bronze_images` | `silver_features`: 1280 numbers per photo |
| gold | `silver_features` | `gold_pca`: k scores per photo; `gold_spectrum`: variance per component |
| compare | `silver_features`, `gold_spectrum` | `gold_comparison`: which k is enough |

Run the cells from top to bottom. A second run does only what is new: where nothing changed, it reads no photo, starts
no network and writes no table.""",
    "executed": """\
**This is a copy with the outputs of a run**, to be read without an AWS account. It ran with a Python kernel on a
machine of {cores} cores ({system}, {machine}), the photos beside it, not on AWS; the steps are the same code there.
The table under Bronze says how many photos went in, the name of the backbone under Silver which network saw them.""",
    "configure": """\
## The session
This cell asks Livy for a Spark session that has the published release (`fruits emr publish`), Delta Lake and Python
3.11. It comes first: it starts the session anew, and what a session had is gone.""",
    "parameters": """\
## Parameters
Everything there is to change is in this cell.

| parameter | meaning |
|---|---|
| `bucket` | the bucket of the stack; it is in the European Union, and encrypted |
| `images` | folder of the photos, laid out `[<split>/]<label>/<file>` |
| `lake` | where the tables are |
| `weights` | the network: `fruits` (in the package), or a `.tflite` that `fruits network` made of ImageNet's weights |
| `k` | components to keep, or the share of variance to reach |
| `k_values` | numbers of components to compare |

Other settings, such as `sync` and `tracking`, are fields of `Settings` too.""",
    "session": """\
## Spark
The session that is there is used as it is; on a laptop, where there is none, a small one is started.""",
    "charts": """\
Tables are made by Spark on EMR, charts here where the notebook is: `%%spark -o` fetches a small table, `%%local` draws
it. The package is not here, so the next cell, folded away, brings its module of charts.""",
    "bronze": """\
**In:** the folder of photos. **Out:** `bronze_images`, a Delta table with a row per file: path, label and split from
its folders, sha256, and its bytes unaltered.

**Why:** S3 is slow on a hundred thousand small objects, so they are listed each time and read once. A file that cannot
be read stops nothing: it keeps a row with the reason. The table below counts photos and labels per split.""",
    "silver": """\
**In:** new and changed rows of `bronze_images`. **Out:** `silver_features`, 1280 numbers per photo, or an error in
words.

**Why:** MobileNetV2 learnt on millions of photos what shapes and textures look like. Cut before its last layer it
describes a photo in 1280 numbers (transfer learning), so nothing has to be trained. The network travels to the workers
inside the function they run, as broadcasting the weights does; they run it with LiteRT, not TensorFlow. Photos are
committed in chunks: a killed run loses at most one.""",
    "gold": """\
**In:** `silver_features`. **Out:** `gold_pca`, k scores per photo; `gold_spectrum`, what each component explains; the
model, in MLflow where there is one.

**Why:** the 1280 numbers say much of the same thing. PCA turns them into components by falling variance; the first few
hold most of it, which is cheaper to keep and to learn from. It is fitted on Training photos only, from sums that
workers make in one pass, and one decomposition gives every k at once.

The first chart is the share of variance that the first k components hold. The second shows photos by their first two
components, coloured by label: fruit of a kind lies together.""",
    "compare": """\
**In:** the features and the fit. **Out:** `gold_comparison`, a row per k.

**Why:** variance alone does not say which k is enough. So a linear discriminant is scored in every k-dimensional space
on photos of Test, which it never saw. The recommended k is the smallest whose accuracy is within one point of the
best.""",
    "end": """\
## And then
- Add photos to the folder and run it all again: only these are worked on.
- `fruits emr run` does the same as a job, without a notebook; `fruits status --lake …` says what is in the tables.
- `fruits forget --lake … PHOTO` erases a photo from every table and file (right to erasure).
- Close the session (Kernel, Shut Down) and stop the cluster: a session that waits costs money.""",
}

FR = {
    "title": """\
# Des photos de fruits aux composantes principales, sur AWS EMR
La chaîne du projet **fruits** en un seul notebook : des photos dans S3 en entrée, des tables dans S3 en sortie.

| étape | entrée | sortie |
|---|---|---|
| bronze | photos | `bronze_images` : une ligne par fichier |
| silver | `bronze_images` | `silver_features` : 1280 nombres par photo |
| gold | `silver_features` | `gold_pca` : k composantes par photo ; `gold_spectrum` : variance par composante |
| compare | `silver_features`, `gold_spectrum` | `gold_comparison` : quel k suffit |

Exécutez les cellules de haut en bas. Une seconde exécution ne fait que ce qui est nouveau : si rien n'a changé, elle ne
lit aucune photo, ne lance aucun réseau et n'écrit aucune table.""",
    "executed": """\
**Cette copie contient les résultats d'une exécution**, pour être lue sans compte AWS. Elle a tourné avec un noyau
Python sur une machine de {cores} cœurs ({system}, {machine}), les photos à côté, et non sur AWS ; les étapes y sont le
même code. Le tableau sous Bronze dit combien de photos sont entrées, et sous Silver, quel réseau les a vues.""",
    "configure": """\
## La session
Cette cellule demande à Livy une session Spark qui dispose de la version publiée (`fruits emr publish`), de Delta Lake
et de Python 3.11. Elle vient en premier : elle relance la session, et ce que la session contenait est perdu.""",
    "parameters": """\
## Paramètres
Tout ce qui peut être changé se trouve dans cette cellule.

| paramètre | signification |
|---|---|
| `bucket` | le bucket de la pile CloudFormation, dans l'Union européenne, chiffré |
| `images` | dossier des photos, rangées en `[<jeu>/]<étiquette>/<fichier>` |
| `lake` | emplacement des tables |
| `weights` | le réseau : `fruits` (dans le paquet), ou un `.tflite` que `fruits network` a tiré des poids ImageNet |
| `k` | nombre de composantes à garder, ou part de variance à atteindre |
| `k_values` | nombres de composantes à comparer |

Les autres réglages, comme `sync` et `tracking`, sont aussi des champs de `Settings`.""",
    "session": """\
## Spark
La session présente est utilisée telle quelle ; sur un poste où il n'y en a pas, une petite session démarre.""",
    "charts": """\
Spark calcule les tables sur EMR, les graphiques sont dessinés ici, du côté du notebook : `%%spark -o` rapporte une
petite table, `%%local` la dessine. Le paquet n'est pas installé ici ; la cellule suivante, repliée, apporte donc son
module de graphiques.""",
    "bronze": """\
# Bronze : les photos
**Entrée :** le dossier des photos. **Sortie :** `bronze_images`, une table Delta avec une ligne par fichier : chemin,
étiquette et jeu (entraînement ou test) d'après ses dossiers, sha256, et ses octets inchangés.

**Pourquoi :** S3 est lent avec cent mille petits objets ; ils sont donc listés à chaque fois, mais lus une seule fois.
Un fichier illisible n'arrête rien : il garde une ligne avec la raison. Le tableau compte les photos et les étiquettes
par jeu.""",
    "silver": """\
# Silver : les descripteurs
**Entrée :** les lignes nouvelles ou changées de `bronze_images`. **Sortie :** `silver_features`, 1280 nombres par
photo, ou une erreur en toutes lettres.

**Pourquoi :** MobileNetV2 a appris sur des millions de photos à quoi ressemblent formes et textures. Coupé avant sa
dernière couche, il décrit une photo par 1280 nombres (apprentissage par transfert) : il n'y a rien à entraîner. Le
réseau voyage vers les exécuteurs dans la fonction qu'ils appliquent, ce qui équivaut à une diffusion (broadcast) des
poids ; ils l'exécutent avec LiteRT, sans TensorFlow. Les photos sont validées par lots : un arrêt brutal en perd au
plus un.""",
    "gold": """\
# Gold : l'analyse en composantes principales
**Entrée :** `silver_features`. **Sortie :** `gold_pca`, k composantes par photo ; `gold_spectrum`, ce que chaque
composante explique ; le modèle, dans MLflow s'il y en a un.

**Pourquoi :** les 1280 nombres se répètent en partie. L'ACP les remplace par des composantes de variance décroissante ;
les premières en portent l'essentiel, ce qui coûte moins à garder et à apprendre. Elle est ajustée sur les seules photos
d'entraînement, à partir de sommes que les exécuteurs calculent en un passage, et une seule décomposition donne tous
les k à la fois.

Le premier graphique montre la part de variance que portent les k premières composantes. Le second place les photos
selon leurs deux premières composantes, en couleur selon l'étiquette : les fruits d'une même sorte sont voisins.""",
    "compare": """\
# Comparaison : quel k ?
**Entrée :** les descripteurs et l'ajustement. **Sortie :** `gold_comparison`, une ligne par k.

**Pourquoi :** la variance seule ne dit pas quel k suffit. Un discriminant linéaire est donc évalué dans chaque espace à
k dimensions, sur des photos de test qu'il n'a jamais vues. Le k recommandé est le plus petit dont la justesse est à
moins d'un point de la meilleure.""",
    "end": """\
## Et ensuite
- Ajoutez des photos au dossier et exécutez tout à nouveau : seules celles-ci sont traitées.
- `fruits emr run` fait la même chose en tâche, sans notebook ; `fruits status --lake …` dit ce que les tables
  contiennent.
- `fruits forget --lake … PHOTO` efface une photo de toutes les tables et de tous les fichiers (droit à l'effacement).
- Fermez la session (Kernel, Shut Down) et arrêtez le cluster : une session qui attend coûte de l'argent.""",
}

TEXTS = {"en": EN, "fr": FR}
