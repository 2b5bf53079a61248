package example;

import desk.ApiClient;
import desk.ApiException;
import desk.api.CasesApi;
import desk.api.EventsApi;
import desk.api.InboxApi;
import desk.model.Event;
import desk.model.Inbox;
import desk.model.InboxEvent;
import desk.model.NrmCaseSignalRecorded;
import desk.model.NrmCaseSignalRecordedV1Data;
import desk.model.NrmCaseSignalRecordedV1Letter;
import desk.model.NrmConsentGiven;
import desk.model.NrmConsentGivenV1Asked;
import desk.model.NrmConsentRefused;
import desk.model.NrmConsentRefusedV1Asked;
import desk.model.NrmReferralInfoSupplied;
import desk.model.NrmReferralInfoSuppliedV1Data;
import desk.model.NrmReferralInfoSuppliedV1Letter;
import desk.model.NrmReferralSubmitted;
import desk.model.NrmReferralSubmittedAllOfData;
import desk.model.NrmReferralSubmittedAllOfSealed;
import desk.model.NrmReferralSubmittedV1Contact;
import desk.model.NrmReferralSubmittedV1Data;
import desk.model.NrmReferralSubmittedV1Letter;
import desk.model.Published;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.List;
import java.util.Set;

/** An NGO's system that refers a woman to the special unit: `java example.Ngo URL TOKEN` prints each outcome. */
public final class Ngo {
  private static final String ACTOR = "ngo-a-7041";
  private static final BigDecimal WAIT = BigDecimal.valueOf(30);
  private static final String REFERRAL = "ab".repeat(16);

  private final EventsApi events;
  private final InboxApi inbox;
  private final CasesApi cases;
  private Long after = 0L;

  private Ngo(String url, String token) {
    ApiClient desk = new ApiClient();
    desk.updateBaseUri(url);
    desk.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
    events = new EventsApi(desk);
    inbox = new InboxApi(desk);
    cases = new CasesApi(desk);
  }

  public static void main(String[] arguments) throws Exception {
    new Ngo(arguments[0], arguments[1]).refer();
  }

  private void refer() throws Exception {
    Published signal = say(new Event(new NrmCaseSignalRecorded()
        .type(NrmCaseSignalRecorded.TypeEnum.CASE_SIGNAL_RECORDED).actor(ACTOR)
        .data(new NrmCaseSignalRecordedV1Data()
            .detector(NrmCaseSignalRecordedV1Data.DetectorEnum.NGO_OUTREACH).child(false).detectedAbroad(false)
            .urgency(NrmCaseSignalRecordedV1Data.UrgencyEnum.EMERGENCY)
            .addBasisItem(NrmCaseSignalRecordedV1Data.BasisEnum.INDICATORS))
        .sealed(new NrmCaseSignalRecordedV1Letter().citizenship("XA").language("rus")
            .addIndicatorsItem("ILO-AS-CR-02").notes("She says that she may not leave the flat."))));
    String woman = signal.getCase();
    Published consent = say(new Event(new NrmConsentGiven()
        .type(NrmConsentGiven.TypeEnum.CONSENT_GIVEN).actor(ACTOR)._case(woman)
        .data(new NrmConsentGivenV1Asked().addReceiversItem("special-unit")
            .addPurposesItem(NrmConsentGivenV1Asked.PurposesEnum.SERVICES)
            .addPurposesItem(NrmConsentGivenV1Asked.PurposesEnum.INFORMATION_SHARING)
            .givenBy(NrmConsentGivenV1Asked.GivenByEnum.INDIVIDUAL).form(NrmConsentGivenV1Asked.FormEnum.WRITTEN))));
    say(new Event(new NrmConsentRefused()
        .type(NrmConsentRefused.TypeEnum.CONSENT_REFUSED).actor(ACTOR)._case(woman)
        .data(new NrmConsentRefusedV1Asked().addReceiversItem("embassy")
            .addPurposesItem(NrmConsentRefusedV1Asked.PurposesEnum.INFORMATION_SHARING)
            .givenBy(NrmConsentRefusedV1Asked.GivenByEnum.INDIVIDUAL))));
    say(referral(woman, "embassy", "cd".repeat(16), null));
    say(referral(woman, "special-unit", REFERRAL, consent.getId()));

    hear("referral.acknowledged");
    hear("referral.info_requested");
    say(new Event(new NrmReferralInfoSupplied()
        .type(NrmReferralInfoSupplied.TypeEnum.REFERRAL_INFO_SUPPLIED).actor(ACTOR)._case(woman).ref(REFERRAL)
        .data(new NrmReferralInfoSuppliedV1Data().question(NrmReferralInfoSuppliedV1Data.QuestionEnum.SAFE_CONTACT))
        .sealed(new NrmReferralInfoSuppliedV1Letter().answer("Call only through ngo-a."))));
    hear("referral.accepted");
    hear("handover.person_received");
    System.out.println("case " + cases.getCase(woman).getStatus());
    try {
      cases.getCase("0".repeat(32));
    } catch (ApiException error) {
      System.out.println("error " + error.getCode() + " " + error.getResponseBody().contains("\"code\":\"not_found\""));
    }
  }

  private static Event referral(String woman, String to, String reference, String consent) {
    NrmReferralSubmittedV1Data data = new NrmReferralSubmittedV1Data().addToItem(to).child(false)
        .mode(NrmReferralSubmittedV1Data.ModeEnum.REFERRAL)
        .reason(NrmReferralSubmittedV1Data.ReasonEnum.FORMAL_IDENTIFICATION)
        .urgency(NrmReferralSubmittedV1Data.UrgencyEnum.EMERGENCY)
        .services(Set.of(NrmReferralSubmittedV1Data.ServicesEnum.HEALTH));
    NrmReferralSubmittedV1Letter letter = new NrmReferralSubmittedV1Letter().name("Alina Example");
    if (consent != null) {
      letter.interpreter("rus").birthDate(LocalDate.of(1996, 2, 29)).facts("Held by an employer; passport taken.")
          .contact(new NrmReferralSubmittedV1Contact()
              .method(NrmReferralSubmittedV1Contact.MethodEnum.PHONE).value("+994000000001").safeHours("10:00-12:00"));
    }
    return new Event(new NrmReferralSubmitted()
        .type(NrmReferralSubmitted.TypeEnum.REFERRAL_SUBMITTED).actor(ACTOR)._case(woman).ref(reference)
        .version(NrmReferralSubmitted.VersionEnum.NUMBER_1).consent(consent == null ? null : List.of(consent))
        .legalBasis("CoM 21/2008 art. 7")
        .data(new NrmReferralSubmittedAllOfData(data)).sealed(new NrmReferralSubmittedAllOfSealed(letter)));
  }

  private Published say(Event event) throws ApiException {
    Published said = events.publishEvent(event, WAIT, null);
    String why = said.getCode() == null ? "" : " " + said.getCode() + " " + said.getRule();
    System.out.println(said.getVerdict() + " " + said.getType() + why);
    return said;
  }

  /** Wait for an event of the type; the cursor is the row of the last event that came. */
  private void hear(String type) throws Exception {
    while (true) {
      Inbox page = inbox.readInbox(null, after, null, null, null, null, null, null, null);
      for (InboxEvent event : page.getEvents()) {
        after = event.getRow();
        System.out.println("heard " + event.getType() + " from " + event.getSource());
        if (event.getType().equals(type)) {
          return;
        }
      }
      Thread.sleep(200);
    }
  }
}
