/* Sums a ledger of "account,amount" lines: ledger FILE ACCOUNT
 *
 * It has a bug that shows only for some accounts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct account {
    long sum;
    long entries;
};

static struct account read_account(const char *name, const char *wanted)
{
    struct account account = {0, 0};
    char line[256];
    FILE *file = fopen(name, "r");
    if (!file) {
        perror(name);
        exit(1);
    }
    while (fgets(line, sizeof(line), file)) {
        char *comma = strchr(line, ',');
        if (!comma)
            continue;
        *comma = '\0';
        if (!strcmp(line, wanted)) {
            account.sum += strtol(comma + 1, NULL, 10);
            account.entries++;
        }
    }
    fclose(file);
    return account;
}

static long mean(const struct account *account)
{
    return account->sum / account->entries;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: ledger FILE ACCOUNT\n");
        return 2;
    }
    struct account account = read_account(argv[1], argv[2]);
    printf("%s: %ld in %ld entries, ", argv[2], account.sum, account.entries);
    fflush(stdout);
    printf("%ld on average\n", mean(&account));
    return 0;
}
