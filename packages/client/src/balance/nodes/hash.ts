/** FNV-1a over UTF-16 code units, then mixed: 32 bits, unsigned. It allocates nothing. Not for cryptographic use. */
export function hashOf(text: string): number {
  let hash = 0x81_1c_9d_c5;
  for (let i = 0; i < text.length; i += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01_00_01_93);
  }
  return mixed(hash);
}

/** The finalizer of MurmurHash3 (Appleby): every bit of the input affects every bit of the result. 32 bits, unsigned. */
export function mixed(bits: number): number {
  let hash = bits ^ (bits >>> 16);
  hash = Math.imul(hash, 0x85_eb_ca_6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2_b2_ae_35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * The rank of an instance for one caller: rendezvous hashing (Thaler and Ravishankar, 1998; gRPC A68 for subsets). The rank depends only on
 * the pair, so the best k of a caller change by one when one of them leaves or joins.
 */
export function rankOf(callerId: string, instanceId: string): number {
  return mixed(hashOf(instanceId) + Math.imul(hashOf(callerId), 0x9e_37_79_b1));
}
