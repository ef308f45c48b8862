/** What `pkcs12.ts` uses of node-forge. The published types leave out how a key is derived. */
declare module "node-forge" {
  /** Bytes are characters from 0 to 255. */
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
      /** Null, or an error, when the password does not open it. */
      readonly decryptPrivateKeyInfo: (node: Asn1, password: string | null) => Asn1 | null
    }
    readonly util: {
      readonly createBuffer: (bytes: string) => Buffer
    }
  }
  export default forge
  export type { Asn1 }
}
