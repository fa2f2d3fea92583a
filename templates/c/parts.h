/* Parts of the language that are compiled: all. A file that is made for one attention has only those that it uses. */
#ifndef MTAC_PARTS_H
#define MTAC_PARTS_H

#define WITH_STAGES 1
#define WITH_CONV 1
#define WITH_CONV_DOCUMENTS 1
#define WITH_MIX 1
#define WITH_CHANGES 1
#define WITH_DROPOUT 1
#define WITH_SOFTMAX 1
#define WITH_SPARSEMAX 1
#define WITH_OUTPUT 1
#define WITH_BIAS 1

#endif
