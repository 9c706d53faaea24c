/* account_mail.h - the actions of `posthouse account` that carry letters. */
#ifndef PH_ACCOUNT_MAIL_H
#define PH_ACCOUNT_MAIL_H
#include "house_verbs.h"

int account_export(struct ph_house *h, const struct admin_args *a, bool mbox); /* ADDRESS FOLDER */
/* For an import from a server. */
struct import_options {
    const char *user, *ca_file;
    bool insecure; /* its certificate is not checked */
    struct password_source password;
};
int account_import(struct ph_house *h, const struct admin_args *a,
                   const struct import_options *o); /* ADDRESS PATH */
#endif
