/*
 * hash.h - 64-bit hashes of text, one for each use.
 *
 *   ph_hash            tables of what strangers name: addresses, domains, Message-IDs
 *   ph_hash_fixed      what lies on disk, or is compared between programs
 */
#ifndef PH_HASH_H
#define PH_HASH_H
#include <posthouse/base.h>

/* A secret of this process, from ph_random. */
struct ph_hash_key {
    uint64_t half[2];
};

/* SipHash-2-4 (Aumasson and Bernstein, 2012): who does not know the key can not make texts that
 * share a place in a table, or a hash. */
uint64_t ph_hash(const struct ph_hash_key *key, ph_str text);

/* FNV-1a, 64 bits: the same in every process and version. Anyone can make two texts of one hash, so
 * nothing may be lost where two have the same. */
uint64_t ph_hash_fixed(ph_str text);
/* The same of the text with A-Z in lower case. */
uint64_t ph_hash_fixed_nocase(ph_str text);

#endif
