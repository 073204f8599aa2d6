#ifndef CLOUDSKIN_RUN_H
#define CLOUDSKIN_RUN_H

/* `cloudskin run`: argv[0] is "run". The exit code of the process. */
int run_main(int argc, char **argv);
/* `cloudskin thaw`: likewise. */
int thaw_main(int argc, char **argv);

#endif
