/* mail.h - the mail of one account, for the verbs that read and write it beside a running
 * server. */
#ifndef PH_ADMIN_MAIL_H
#define PH_ADMIN_MAIL_H
#include "admin.h"
#include "house.h"
#include "store.h"

struct mail {
    struct store *store;
    struct store_account *account;
    char folder[PH_HOUSE_FOLDER + 1];
    char root[4096]; /* DATA/mail */
};

/* The account of an address of the house; made when it has had no letter yet. */
PH_MUST_CHECK int mail_open(struct mail *m, const char *data, struct ph_house *h,
                            const char *address, struct ph_error *reterr);
/* Closes; what root made belongs to the owner of DATA/mail afterwards. */
void mail_close(struct mail *m);
#endif
