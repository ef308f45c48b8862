/** The keys that sign assertions of certificates: RSA of 2048 bits or more, and EC on P-256. */

/** The members of a `KeyObject` of Node that decide whether it can be used. */
interface Key {
  readonly asymmetricKeyType?: string | undefined
  readonly asymmetricKeyDetails?:
    | { readonly modulusLength?: number | undefined; readonly namedCurve?: string | undefined }
    | undefined
}

/** Returns the reason why a private or public key cannot be used, or undefined if it can. */
export const keyFault = ({ asymmetricKeyDetails, asymmetricKeyType }: Key): string | undefined => {
  const { modulusLength = 0, namedCurve } = { ...asymmetricKeyDetails }
  return asymmetricKeyType === "rsa"
    ? modulusLength < 2048 ? `has only ${modulusLength} bits` : undefined
    : asymmetricKeyType === "ec" && namedCurve === "prime256v1"
    ? undefined
    : asymmetricKeyType === "rsa-pss"
    ? "is restricted to RSA-PSS"
    : "is neither RSA nor EC on the curve P-256"
}

export const usableKeys = "Use an RSA key of 2048 bits or more, or an EC key on P-256."
