/** The parts of node-forge that `pkcs12.ts` uses. The published types lack `pkcs12.generateKey`. */
declare module "node-forge" {
  /** Bytes as a string of characters from 0 to 255. */
  interface Buffer {
    getBytes(): string
  }

  interface Asn1 {
    readonly value: string | ReadonlyArray<Asn1>
  }

  interface Digest {
    readonly digestLength: number
  }

  const forge: {
    readonly asn1: {
      readonly fromDer: (bytes: string) => Asn1
      readonly toDer: (node: Asn1) => Buffer
      readonly derToOid: (bytes: string) => string
      readonly create: (
        tagClass: number,
        type: number,
        constructed: boolean,
        value: string | ReadonlyArray<Asn1>
      ) => Asn1
    }
    readonly md: Readonly<Record<"md5" | "sha1" | "sha256" | "sha384" | "sha512", { readonly create: () => Digest }>>
    readonly pkcs12: {
      readonly generateKey: (
        password: string | null,
        salt: Buffer,
        purpose: number,
        iterations: number,
        length: number,
        digest: Digest
      ) => Buffer
    }
    readonly pki: {
      /** Returns null or throws when the password is wrong. */
      readonly decryptPrivateKeyInfo: (node: Asn1, password: string | null) => Asn1 | null
    }
    readonly util: {
      readonly createBuffer: (bytes: string) => Buffer
    }
  }
  export default forge
  export type { Asn1 }
}
