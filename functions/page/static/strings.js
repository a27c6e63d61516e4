// Every text of the page. Reasons for an error and notices are not here: the API sends them in the browser's language.
// The caller fills in a value for {name}.

const en = {
  lead: "Link your own WhatsApp to send and receive messages from your account.",
  foot: "You can unlink at any time, here or on your phone under Linked devices.",
  loading: "Loading…",
  signOut: "Sign out",

  badge: { disconnected: "Not connected", connecting: "Connecting", qr: "Waiting for your phone", finishing: "Finishing",
           connected: "Connected", error: "Not connected" },

  unconfiguredTitle: "Sign-in is not configured: set SupabaseAnonKey",
  unconfigured: "It is a parameter of the deployment: the public (anon) key of your Supabase project.",

  signInTitle: "Sign in",
  signInLead: "Use the e-mail and password of your account.",
  email: "E-mail",
  password: "Password",
  signIn: "Sign in",
  signingIn: "Signing in…",
  signInWrong: "The e-mail or the password is wrong.",
  signInUnconfirmed: "Confirm your e-mail first: open the message we sent you.",
  signInTooMany: "Too many tries. Wait a moment and try again.",
  signInCaptcha: "Sign-in asks for a CAPTCHA here, which this page does not have. Sign in through your product’s own page, or ask its support.",
  signInBanned: "This account is blocked. Ask support.",
  signInInvalid: "Sign-in does not accept this e-mail or password as it is written. Check both.",
  signInDisabled: "This account cannot sign in with e-mail and password here. Ask support.",
  signInRefused: "Sign-in refused (code: {code}). Ask support.",
  signInFailed: "Sign-in does not answer properly. Try again in a moment.",
  signInOffline: "No connection to the sign-in. Try again.",
  signInEnded: "Your session has ended. Sign in again.",

  secondFactorTitle: "Sign in with your second factor",
  secondFactor: "This page cannot ask for it. Sign in on your product’s own page and connect WhatsApp there, or ask its support.",

  disconnectedTitle: "Connect your WhatsApp",
  disconnectedLead: "It takes less than a minute. Have your phone at hand.",
  step1: "Open WhatsApp on your phone.",
  step2: "Tap Settings (on Android, the ⋮ menu), then Linked devices, then Link a device.",
  step3: "Point your phone at the QR code on this screen.",
  connect: "Connect WhatsApp",
  connectWait: "Connect in {time}",
  starting: "Starting…",

  connectingTitle: "Getting your QR code…",
  connectingLead: "Usually it takes a second. When WhatsApp is slow, we keep waiting for it.",
  timeLeft: "Time left: {time}",
  cancel: "Cancel",
  cancelling: "Cancelling…",

  qrTitle: "Scan this code with WhatsApp",
  qrAlt: "QR code to link WhatsApp. Scan it with your phone.",
  qrExpiry: "New code in {seconds} s",
  qrRefreshing: "Getting a new code…",
  lastCall: "Time left to scan the code: {time}.",
  sameDevice: "Is this your phone’s screen? Open this page on a computer or a tablet: the phone has to scan the code from another screen.",
  sandboxLead: "Sandbox: no real phone is needed.",
  sandboxNumber: "Number of the sandbox phone",
  sandboxScan: "Scan with the sandbox phone",
  sandboxScanning: "Scanning…",
  sandboxFailed: "The sandbox phone could not scan this code. Try with the next one.",

  finishingTitle: "Scanned. Finishing on your phone…",
  finishingLead: "Keep WhatsApp open on your phone for a moment.",

  connectedSince: "Connected since",
  lastSeen: "Last seen",
  sent: "Messages sent",
  received: "Messages received",
  numberUnknown: "WhatsApp is connected",
  never: "Not yet",
  justNow: "Just now",
  disconnect: "Disconnect",
  disconnecting: "Disconnecting…",
  confirmText: "Disconnect this number? Messages stop at once; to link it again you scan a new code.",
  confirmYes: "Yes, disconnect",
  confirmNo: "Keep connected",

  errorTitle: "WhatsApp is not connected",
  errorUnknown: "Something went wrong on our side. Try again.",
  errorCode: "Code: {code}",
  retry: "Try again",
  retryWait: "Try again in {time}",

  offline: "No connection. Trying again…",
  troubled: "The server is not answering properly. Trying again…",
  tokenRefused: "You are signed in, but this service does not accept your sign-in. Your password is right; tell support.",
  anonymousRefused: "Sign in with an account: guests cannot connect WhatsApp.",
  noAnswer: "No answer came.",
  noSense: "The server is not answering properly.",
  checking: "This page is checking whether your click worked…",
  qrBlocked: "The QR code does not load. Something in this browser or network may block it. Trying again…",
  qrTroubled: "The QR code does not load. The server is not answering properly. Trying again…",
  pageFailed: "This page has failed. Reload it. If it fails again, use another browser or tell support.",
  busy: "The service is busy. Try again in a moment.",
  full: "Many people are connecting right now. Try again in a moment.",
  tooSoon: "There is a pause between tries. The button shows when it is over.",
};

const es = {
  lead: "Vincula tu propio WhatsApp para enviar y recibir mensajes desde tu cuenta.",
  foot: "Puedes desvincularlo cuando quieras, aquí o en tu teléfono, en Dispositivos vinculados.",
  loading: "Cargando…",
  signOut: "Cerrar sesión",

  badge: { disconnected: "Sin conectar", connecting: "Conectando", qr: "Esperando a tu teléfono", finishing: "Terminando",
           connected: "Conectado", error: "Sin conectar" },

  unconfiguredTitle: "El inicio de sesión no está configurado: define SupabaseAnonKey",
  unconfigured: "Es un parámetro del despliegue: la clave pública (anon) de tu proyecto de Supabase.",

  signInTitle: "Inicia sesión",
  signInLead: "Usa el correo y la contraseña de tu cuenta.",
  email: "Correo electrónico",
  password: "Contraseña",
  signIn: "Iniciar sesión",
  signingIn: "Iniciando sesión…",
  signInWrong: "El correo o la contraseña no son correctos.",
  signInUnconfirmed: "Antes confirma tu correo: abre el mensaje que te enviamos.",
  signInTooMany: "Demasiados intentos. Espera un momento y vuelve a probar.",
  signInCaptcha: "Aquí el inicio de sesión pide un CAPTCHA, que esta página no tiene. Inicia sesión en la página de tu producto o pregunta a su soporte.",
  signInBanned: "Esta cuenta está bloqueada. Pregunta a soporte.",
  signInInvalid: "El inicio de sesión no acepta este correo o esta contraseña tal como están escritos. Revisa ambos.",
  signInDisabled: "Esta cuenta no puede iniciar sesión aquí con correo y contraseña. Pregunta a soporte.",
  signInRefused: "Inicio de sesión rechazado (código: {code}). Pregunta a soporte.",
  signInFailed: "El inicio de sesión no responde bien. Vuelve a probar en un momento.",
  signInOffline: "Sin conexión con el inicio de sesión. Vuelve a intentarlo.",
  signInEnded: "Tu sesión ha terminado. Inicia sesión de nuevo.",

  secondFactorTitle: "Inicia sesión con tu segundo factor",
  secondFactor: "Esta página no puede pedirlo. Inicia sesión en la página de tu producto y conecta WhatsApp allí, o pregunta a su soporte.",

  disconnectedTitle: "Conecta tu WhatsApp",
  disconnectedLead: "Se tarda menos de un minuto. Ten el teléfono a mano.",
  step1: "Abre WhatsApp en tu teléfono.",
  step2: "Toca Ajustes (en Android, el menú ⋮), luego Dispositivos vinculados y luego Vincular un dispositivo.",
  step3: "Apunta con el teléfono al código QR de esta pantalla.",
  connect: "Conectar WhatsApp",
  connectWait: "Conectar en {time}",
  starting: "Empezando…",

  connectingTitle: "Obteniendo tu código QR…",
  connectingLead: "Suele tardar un segundo. Si WhatsApp va lento, seguimos esperando.",
  timeLeft: "Tiempo restante: {time}",
  cancel: "Cancelar",
  cancelling: "Cancelando…",

  qrTitle: "Escanea este código con WhatsApp",
  qrAlt: "Código QR para vincular WhatsApp. Escanéalo con tu teléfono.",
  qrExpiry: "Código nuevo en {seconds} s",
  qrRefreshing: "Obteniendo un código nuevo…",
  lastCall: "Tiempo restante para escanear el código: {time}.",
  sameDevice: "¿Es esta la pantalla de tu teléfono? Abre esta página en un ordenador o una tableta: el teléfono tiene que escanear el código desde otra pantalla.",
  sandboxLead: "Entorno de pruebas: no hace falta un teléfono real.",
  sandboxNumber: "Número del teléfono de pruebas",
  sandboxScan: "Escanear con el teléfono de pruebas",
  sandboxScanning: "Escaneando…",
  sandboxFailed: "El teléfono de pruebas no pudo escanear este código. Prueba con el siguiente.",

  finishingTitle: "Escaneado. Terminando en tu teléfono…",
  finishingLead: "Deja WhatsApp abierto en el teléfono un momento.",

  connectedSince: "Conectado desde",
  lastSeen: "Última actividad",
  sent: "Mensajes enviados",
  received: "Mensajes recibidos",
  numberUnknown: "WhatsApp está conectado",
  never: "Todavía no",
  justNow: "Ahora mismo",
  disconnect: "Desconectar",
  disconnecting: "Desconectando…",
  confirmText: "¿Desconectar este número? Los mensajes paran en el acto; para vincularlo de nuevo hay que escanear otro código.",
  confirmYes: "Sí, desconectar",
  confirmNo: "Seguir conectado",

  errorTitle: "WhatsApp no está conectado",
  errorUnknown: "Algo ha fallado por nuestra parte. Vuelve a intentarlo.",
  errorCode: "Código: {code}",
  retry: "Reintentar",
  retryWait: "Reintentar en {time}",

  offline: "Sin conexión. Reintentando…",
  troubled: "El servidor no responde bien. Reintentando…",
  tokenRefused: "Has iniciado sesión, pero este servicio no acepta tu sesión. Tu contraseña es correcta; avisa a soporte.",
  anonymousRefused: "Inicia sesión con una cuenta: los invitados no pueden conectar WhatsApp.",
  noAnswer: "No ha llegado respuesta.",
  noSense: "El servidor no responde bien.",
  checking: "Esta página está comprobando si tu clic ha funcionado…",
  qrBlocked: "El código QR no se carga. Puede que algo en este navegador o en esta red lo bloquee. Reintentando…",
  qrTroubled: "El código QR no se carga. El servidor no responde bien. Reintentando…",
  pageFailed: "Esta página ha fallado. Vuelve a cargarla. Si falla otra vez, usa otro navegador o avisa a soporte.",
  busy: "El servicio está ocupado. Vuelve a intentarlo en un momento.",
  full: "Muchas personas se están conectando ahora. Vuelve a intentarlo en un momento.",
  tooSoon: "Hay una pausa entre un intento y el siguiente. El botón muestra cuándo termina.",
};

export const strings = { en, es };

const LANGUAGES = Object.keys(strings);

/**
 * The first of the browser's languages that we speak, with its region for dates and numbers. A browser may also give names
 * that are not language tags ("en_US", "en-US@posix", "C"). Intl throws an error for such a name, so `locale` is always a
 * tag that Intl knows.
 */
export function pickLanguage(preferred) {
  const locales = [...preferred].map(localeOf).filter(Boolean);
  const locale = locales.find((tag) => LANGUAGES.includes(languageOf(tag))) ?? "en";
  return { language: languageOf(locale), locale };
}

const languageOf = (tag) => tag.split("-")[0].toLowerCase();

/** A language tag that Intl understands, or null: "es_MX.UTF-8@euro" is es-MX, "en-wrong-" is en. */
function localeOf(name) {
  const [tag] = String(name ?? "").trim().replace(/_/g, "-").split(/[.@\s]/);
  for (const candidate of [tag, languageOf(tag)]) {
    try {
      const [locale] = Intl.DateTimeFormat.supportedLocalesOf(candidate);
      if (locale) return locale;
    } catch {
      // no language tag
    }
  }
  return null;
}

/** t("timeLeft", { time: "1:20" }); t("badge.connected") */
export function translator(language) {
  return (key, values = {}) => {
    const text = key.split(".").reduce((table, part) => table[part], strings[language]);
    return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  };
}
