/* posthouse: the server and its administration, one program. */
#include "admin.h"

int main(int argc, char **argv)
{
    return admin_main(argc, argv);
}
