/* A SQLite VFS that does what the default one does until its k-th call of the chosen kind, which
 * fails. */
#ifndef PH_FAULT_VFS_H
#define PH_FAULT_VFS_H

enum fault_kind { FAULT_WRITE_FULL, FAULT_WRITE_IO, FAULT_READ_IO, FAULT_SYNC_IO, FAULT_KINDS };

void fault_vfs_register(void);                                /* as "faulty" */
void fault_vfs_arm(enum fault_kind kind, int k, int forever); /* k: from 1; 0 disarms */
int fault_vfs_hit(void); /* how many calls were failed since armed */

#endif
